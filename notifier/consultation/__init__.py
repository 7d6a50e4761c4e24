"""Consultations: asked of a ward, answered by its residents, ended only when they have been told what was decided."""
