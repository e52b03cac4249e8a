"""What is broken, and how is it mended?

Every check asks the thing itself (a database, LiveKit, a trunk, the agent, the voice) and returns a `Finding`; what can
be decided without asking is a pure function. Nobody is dialled.
"""
