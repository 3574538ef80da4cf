"""The three stages of a lane as running shards: plan, deliver, settle. They act; ``broker/`` decides."""
