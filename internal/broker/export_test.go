package broker

import natsserver "github.com/nats-io/nats-server/v2/server"

// Fail lets the server in the process have a fault that a new start removes.
func (b *Broker) Fail(err error) {
	failed := b.own.running()
	b.own.mu.Lock()
	defer b.own.mu.Unlock()
	b.own.fault = func(server *natsserver.Server) error {
		if server == failed {
			return err
		}
		return nil
	}
	b.checkSoon()
}
