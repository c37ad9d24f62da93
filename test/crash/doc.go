// Package crash kills the built gateway with SIGKILL at random instants while it files and works on jobs, and NATS, the PACS and the
// destination besides. Afterwards each item must have one outcome, what is reported as moved must be at the destination, and nothing may
// be left in the queues. README.md describes the tests. They have the build tag crash because of the time that they take.
package crash
