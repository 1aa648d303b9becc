"""Users' SQL expressions: what they may say and what they mean."""
