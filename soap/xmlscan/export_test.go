package xmlscan

// SetWindow makes the scanner read its source in pieces of n bytes, as it would read a file in larger ones.
func (s *Scanner) SetWindow(n int) { s.window = n }
