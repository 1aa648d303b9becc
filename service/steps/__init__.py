"""The contracts of a plan: collector, processor, storage; Frame and Metric; what a step is given."""
