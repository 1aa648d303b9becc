"""HTTP for programs: handlers of a few lines over the floors below."""
