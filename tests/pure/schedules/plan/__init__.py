"""Plan under the scheduler: owners of one partition of requests that judge, append, write work and die."""
