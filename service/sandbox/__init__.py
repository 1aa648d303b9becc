"""The walls around SQL: the gate, the locked settings and the confinement of the process."""
