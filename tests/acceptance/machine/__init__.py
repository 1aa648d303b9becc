"""A model of pipelines, and a real service that must agree with it whatever is done in which order."""
