package gss

import (
	"bufio"
	"context"
	"net"
)

// Handshake makes a Conn without the flag that Client and Server exchange after it.
func Handshake(ctx context.Context, raw net.Conn, c *Context) (*Conn, error) {
	return establish(ctx, raw, c, nil, func(*Conn, context.Context) error { return nil })
}

// ReadToken reads one token of limit bytes at most.
func ReadToken(r *bufio.Reader, limit int) ([]byte, error) { return readToken(r, limit) }

// WholeDER is what tells a delegation's messages apart.
func WholeDER(message []byte) (bool, error) { return wholeDER(message) }
