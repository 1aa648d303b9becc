"""What a value of a type is: types, casts, parsing and JSON values as typed columns."""
