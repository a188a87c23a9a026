package schemas

// Token is the answer to a request for a token. It is a secret.
type Token struct {
	Token        string `json:"token"`
	TokenType    string `json:"token_type"` // Bearer
	JTI          string `json:"jti"`        // the token's id, with which it can be revoked
	ExpiresAt    Time   `json:"expires_at"`
	URL          string `json:"url,omitempty"` // where clients reach the service
	SubscribeURL string `json:"subscribe_url"` // holds the token: a browser's EventSource can open it as it is
}
