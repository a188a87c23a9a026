package broker

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// ChannelInfo describes a channel.
type ChannelInfo struct {
	Channel     schemas.Channel `json:"channel"`
	Subscribers int             `json:"subscribers"`
	Messages    int             `json:"messages"`
	Bytes       int64           `json:"bytes"`
	FirstID     *schemas.ID     `json:"first_id"`
	LastID      *schemas.ID     `json:"last_id"`
	Run         *RunInfo        `json:"run"`
}

// RunInfo is the latest run status of a channel.
type RunInfo struct {
	schemas.RunChange
	ID        schemas.ID   `json:"id"`
	UpdatedAt schemas.Time `json:"updated_at"`
}

// Channel describes one channel. A channel without messages exists as long as a stream
// has named it. Errors: [ErrNoChannel], [engine.ErrUnavailable] and that of ctx.
func (b *Broker) Channel(ctx context.Context, name schemas.Channel) (ChannelInfo, error) {
	sh := b.shardFor(name)
	c, err := sh.store.view(ctx, name)
	if err != nil {
		return ChannelInfo{}, err
	}
	info := sh.describe(c)
	if sh.registry.get(name) != nil {
		return info, nil
	}
	info.Subscribers = len(sh.registry.waitingStreams(name))
	if info.Messages == 0 && info.Run == nil && info.Subscribers == 0 {
		return ChannelInfo{}, ErrNoChannel
	}
	return info, nil
}

func (sh *shard) describe(c *channel) ChannelInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	sh.trim(c, time.Now())
	info := ChannelInfo{Channel: c.name, Subscribers: c.readers.size(), Messages: c.log.Len(), Bytes: c.log.Bytes()}
	info.FirstID, info.LastID = sh.span(&c.log)
	if r := c.run; r != nil {
		info.Run = &RunInfo{RunChange: r.change, ID: r.id, UpdatedAt: schemas.Time(r.frame.At)}
	}
	return info
}

// Channels describes up to limit channels whose names begin with prefix and come after
// the given name, sorted by name. Channels that have only readers are included. next is
// the name to continue after, "" if there are no more channels.
//
// For a channel that is not in memory, the engine reports roughly what it keeps:
// nothing is loaded. Errors: [engine.ErrUnavailable] and that of ctx.
func (b *Broker) Channels(ctx context.Context, prefix string, after schemas.Channel, limit int) (infos []ChannelInfo, next schemas.Channel, err error) {
	infos = []ChannelInfo{}
	for _, sh := range b.shards {
		some, err := sh.list(ctx, prefix, after, limit+1)
		if err != nil {
			return nil, "", err
		}
		infos = append(infos, some...)
	}
	slices.SortFunc(infos, func(a, b ChannelInfo) int { return cmp.Compare(a.Channel, b.Channel) })
	if len(infos) > limit {
		infos, next = infos[:limit], infos[limit-1].Channel
	}
	return infos, next, nil
}

// list describes the first n channels whose names begin with prefix and come after the
// given one, in any order. It may describe more.
func (sh *shard) list(ctx context.Context, prefix string, after schemas.Channel, n int) ([]ChannelInfo, error) {
	kept, err := sh.store.list(ctx, prefix, after, n)
	if err != nil {
		return nil, err
	}
	infos := make([]ChannelInfo, 0, n)
	listed := make(map[schemas.Channel]bool, len(kept))
	for i := range kept {
		listed[kept[i].Channel] = true
		info, err := sh.summarise(&kept[i])
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	for _, name := range sh.registry.first(prefix, after, n) {
		if listed[name] || len(kept) == n && name > kept[n-1].Channel {
			continue
		}
		info := ChannelInfo{Channel: name, Subscribers: len(sh.registry.waitingStreams(name))}
		if c := sh.registry.get(name); c != nil {
			info = sh.describe(c)
		}
		if info.Subscribers > 0 || info.Messages > 0 || info.Run != nil { // else it has gone meanwhile
			infos = append(infos, info)
		}
	}
	return infos, nil
}

// summarise describes a channel that the engine keeps.
func (sh *shard) summarise(kept *engine.Summary) (ChannelInfo, error) {
	info := ChannelInfo{Channel: kept.Channel, Messages: kept.Messages, Bytes: kept.Bytes}
	if c := sh.registry.get(kept.Channel); c == nil {
		info.Subscribers = len(sh.registry.waitingStreams(kept.Channel))
	} else if sh.registry.complete(kept.Channel) {
		return sh.describe(c), nil
	} else {
		info.Subscribers = c.readers.size()
	}
	if kept.Messages > 0 {
		info.FirstID, info.LastID = sh.idPtr(kept.First), sh.idPtr(kept.Last)
	}
	if m := kept.Run; m != nil {
		change, err := schemas.ParseRunChange(m)
		if err != nil {
			return info, err
		}
		info.Run = &RunInfo{RunChange: change, ID: sh.idOf(m.ID.Seq), UpdatedAt: m.CreatedAt}
	}
	return info, nil
}

// first returns the first n names, and maybe more, that begin with prefix and come
// after the given one. It considers channels in memory and those that streams wait for.
func (r *registry) first(prefix string, after schemas.Channel, n int) []schemas.Channel {
	var names []schemas.Channel
	for i := range r.stripes {
		names = r.stripes[i].names(names, prefix, after)
		if len(names) > 2*n { // bounds the memory, however many channels there are
			slices.Sort(names)
			names = names[:n]
		}
	}
	return names
}

// names appends the names in the stripe that [registry.first] looks for.
func (st *stripe) names(names []schemas.Channel, prefix string, after schemas.Channel) []schemas.Channel {
	st.mu.RLock()
	defer st.mu.RUnlock()
	for name := range st.channels {
		if name > after && strings.HasPrefix(string(name), prefix) {
			names = append(names, name)
		}
	}
	for name := range st.waiting {
		if name > after && strings.HasPrefix(string(name), prefix) {
			names = append(names, name)
		}
	}
	return names
}
