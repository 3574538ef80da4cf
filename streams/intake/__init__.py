"""HTTP intake: CloudEvents over HTTP into ``requests.<lane>``, for businesses without Kafka."""
