"""How does a campaign do with people who are only simulated, before it calls anybody real?"""
