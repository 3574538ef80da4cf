"""Makes events that businesses publish: real and seeded days, in order of time.

`flights` replays a real storm, `parcels` a shop's day, `logins` a bank's one-time codes. They are pure: they take a
run, a start and a seed and give back the same events for the same three. `feed` lets them out against a clock.
"""
