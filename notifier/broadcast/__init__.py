"""From a draft to deliveries: draft, approve, plan, recall, report; and what the service itself says."""
