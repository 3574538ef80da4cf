"""Recording what businesses published, and publishing it again.

`entry` is the form of a recording, `files` reads and writes it. `recorder` makes one: `capture` turns records into entries,
`pseudonyms` takes people out of them. `replay` lets one out: `selection` chooses, `schedule` says when each is due,
`rewrite` makes it an event of now, `result` sums up.
"""
