"""Pages for people: the profile of a version."""
