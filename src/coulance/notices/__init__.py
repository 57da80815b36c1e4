"""The notices room: messages, their deliveries, and the evidence of what became of them."""
