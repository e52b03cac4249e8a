"""How does it all look at work? Eight simulated people are called and one calls in, on this machine alone.

Everything but the people is real: LiveKit, SIP, RTP, the agent, the history.
"""
