"""When is there time, and who has it? Calendars that a caller's appointments are made in.

`base` has what every calendar can do, whoever keeps it; `store` opens one by its id; `spoken` turns what people say
about days and times into instants, and back.
"""
