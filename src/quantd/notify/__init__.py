"""What the daemon tells people by itself: notices by webhook, Telegram, Slack and e-mail, and a heartbeat to a monitor.

Used by the composition root. Reads what is already on disk, and is never in the way of trading: telling is putting into a
bounded queue, and a receiver that is slow or dead costs its own notices only. Holds no state of the trade.
"""
