"""What every collector that fetches shares: clients, headers and the count of what arrived."""
