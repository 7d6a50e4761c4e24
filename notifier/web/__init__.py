"""The web edge: pages for residents, the desk for officers, the API, hooks. Opens transactions; holds no rules."""
