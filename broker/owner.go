package broker

import (
	"strings"
	"time"
)

// Owner is by whom a stream was opened. It serves to list streams, to end them
// and to limit their number.
type Owner struct {
	Subject   string    // of the token; "" for none
	TokenID   string    // "" for none
	Address   string    // of the client, without port
	RequestID string    // of the request that opened it
	ExpiresAt time.Time // when the stream must end; zero for never
}

// owner is the texts of an [Owner] in little space, one after the other. Of many
// streams that are quiet, they are a large part. It keeps nothing alive that the
// texts were parts of.
type owner struct {
	texts string
	ends  [3]int32
}

func newOwner(o Owner) owner {
	var b strings.Builder
	b.Grow(len(o.Subject) + len(o.TokenID) + len(o.Address) + len(o.RequestID))
	var ends [3]int32
	for i, text := range [3]string{o.Subject, o.TokenID, o.Address} {
		b.WriteString(text)
		ends[i] = int32(b.Len())
	}
	b.WriteString(o.RequestID)
	return owner{b.String(), ends}
}

func (o *owner) subject() string   { return o.texts[:o.ends[0]] }
func (o *owner) tokenID() string   { return o.texts[o.ends[0]:o.ends[1]] }
func (o *owner) address() string   { return o.texts[o.ends[1]:o.ends[2]] }
func (o *owner) requestID() string { return o.texts[o.ends[2]:] }
