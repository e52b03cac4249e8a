"""Property tests judge answers, not how fast a busy machine gives them: pytest's own time limit does that."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
