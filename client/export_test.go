package client

// Gathers reports whether messages of the client share requests.
func Gathers(c *Client) bool { return c.gatherer != nil }
