"""What happens in the first seconds of a call that we placed: who answered, and what do we do about it?"""
