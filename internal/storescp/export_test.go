package storescp

// Connections returns how many connections are open.
func (s *SCP) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}
