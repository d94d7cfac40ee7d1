"""The verbs: what needs several rooms at once is composed here. One file a verb."""
