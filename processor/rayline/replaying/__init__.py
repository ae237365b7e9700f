"""Where events can be replayed from: the dead-letter queue, quarantine and the archives."""
