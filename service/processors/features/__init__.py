"""How the transformer makes features: bins, encodings, scales, windows, splits."""
