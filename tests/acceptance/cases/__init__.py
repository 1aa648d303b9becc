"""Small inputs on which the product once gave a wrong answer, one a kind, each with the right value."""
