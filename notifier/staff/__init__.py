"""Officers, what their roles allow, how they sign in, the teams they work in, and what is on record."""
