"""Replies: stored raw, understood, threaded, routed to a team's queue with the reason, and answered."""
