"""Recording what businesses published, and publishing it again.

`files` is the form of a recording. `recorder` makes one, and `pseudonyms` takes people out of it. `preparation` chooses events,
makes them events of now and says when each is due; `playback` publishes them and sums up.
"""
