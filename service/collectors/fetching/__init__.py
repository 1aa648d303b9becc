"""What the fetching collectors share: clients, header checks and the evidence of completeness."""
