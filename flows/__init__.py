"""When things run: Prefect flows, settings, command line, services, report, demo.

A flow reads like the sentence that describes it and holds no business logic: it calls the plain functions of the other
rooms. Prefect is imported only here. Flow files are verb phrases, never the name of a package: a flow loaded by file
path puts its folder first on `sys.path`. Nothing imports this package.
"""
