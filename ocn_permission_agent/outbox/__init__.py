"""What we still owe each provider: recorded, ordered, delivered."""
