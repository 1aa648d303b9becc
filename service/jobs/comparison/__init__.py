"""Comparison: the rows of two versions side by side, in batches, with what does not align spilled to disk."""
