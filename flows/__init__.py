"""When things run: Prefect flows, settings, command line, services, report, demo.

Belongs here: what starts, schedules, shows and stops the work. A flow reads like the sentence that describes it and calls the plain
functions of the other rooms. Not here: any decision that a room could make. Prefect is imported only here. Flow files are verb
phrases, never the name of a package: a flow loaded by file path puts its folder first on `sys.path`. Nothing imports this package.
"""
