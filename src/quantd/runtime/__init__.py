"""What keeps the engine running: inbox, runner, executor, scheduler, supervisor and watchdog.

Composed by the app. It moves events in and commands out; it decides nothing about trading.
"""
