package load

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Run serves all connections for d.
func (c *Client) Run(d time.Duration) error {
	end := c.config.Clock.Now() + int64(d)
	for {
		left := end - c.config.Clock.Now()
		if left <= 0 {
			return nil
		}
		// Rounded up: the last millisecond is not to be spent spinning.
		if err := c.turn(int((left + 999_999) / 1_000_000)); err != nil {
			return err
		}
	}
}

// until serves all connections until reached, for limit at most: then it is [ErrTimeout].
func (c *Client) until(reached func() bool, limit time.Duration) error {
	end := c.config.Clock.Now() + int64(limit)
	for !reached() {
		if c.config.Clock.Now() > end {
			return ErrTimeout
		}
		if err := c.turn(10); err != nil {
			return err
		}
	}
	return nil
}

// turn serves what is ready, the publishers first. It waits up to ms milliseconds only where
// no message is on its way: a client that sleeps must be woken by the server's write, which
// costs the server more than the write, and no reader far away asks for that.
func (c *Client) turn(ms int) error {
	publishers := len(c.publishers) + len(c.texts)
	spins := c.config.Spin && publishers > 0 && len(c.readers) > 0
	waitP, waitR := 0, 0
	switch {
	case spins:
	case len(c.readers) == 0:
		waitP = ms
	case publishers == 0:
		waitR = ms
	default:
		waitR = min(ms, 1)
	}
	if err := c.turnPublishers(waitP); err != nil {
		return err
	}
	ready, err := c.wait(c.readerPoll, waitR)
	if err != nil {
		return err
	}
	for i := range ready {
		if err := c.read(int(ready[i].Fd)); err != nil {
			return err
		}
	}
	c.account()
	return nil
}

// wait returns what is ready, waiting up to ms milliseconds for it, which is no time of work.
func (c *Client) wait(p *poller, ms int) ([]unix.EpollEvent, error) {
	if ms > 0 {
		c.account()
		defer func() { c.since = c.config.Clock.Now() }()
	}
	ready, err := p.wait(ms)
	c.worked = c.worked || len(ready) > 0
	return ready, err
}

// account adds the time since the last call, if there was work in it.
func (c *Client) account() {
	now := c.config.Clock.Now()
	if c.worked {
		c.counts.Busy += time.Duration(now - c.since)
	}
	c.since, c.worked = now, false
}

// turnPublishers serves the publishers that are ready, waiting up to ms milliseconds for one.
func (c *Client) turnPublishers(ms int) error {
	ready, err := c.wait(c.publisherPoll, ms)
	if err != nil {
		return err
	}
	for _, event := range ready {
		switch {
		case event.Fd == timerID:
			err = c.tick()
		case len(c.lines) > 0:
			err = c.lines[event.Fd].ready(event.Events)
		case len(c.texts) > 0:
			err = c.texts[event.Fd].ready(event.Events)
		default:
			err = c.answered(int(event.Fd))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// StartOpen begins an open loop: perSecond messages a second in all, the publishers taking
// turns. A message's time is when it was due, also when its publisher was busy then.
func (c *Client) StartOpen(perSecond int) error {
	gap := int64(time.Second) / int64(perSecond)
	c.every = gap * int64(len(c.publishers))
	c.dueAt = c.config.Clock.Now() + gap
	return c.setTimer(time.Duration(gap))
}

// setTimer lets the timer fire each gap; 0 stops it.
func (c *Client) setTimer(gap time.Duration) error {
	spec := unix.NsecToTimespec(int64(gap))
	if err := unix.TimerfdSettime(c.timer, 0, &unix.ItimerSpec{Interval: spec, Value: spec}, nil); err != nil {
		return fmt.Errorf("load: timer: %w", err)
	}
	return nil
}

// tick sends what the open loop has become due for.
func (c *Client) tick() error {
	var fired [8]byte
	if _, err := unix.Read(c.timer, fired[:]); err != nil {
		if again(err) {
			return nil
		}
		return fmt.Errorf("load: timer: %w", err)
	}
	gap := c.every / int64(max(1, len(c.publishers)))
	for range binary.NativeEndian.Uint64(fired[:]) {
		if len(c.texts) > 0 {
			if err := c.tickText(); err != nil {
				return err
			}
			continue
		}
		if err := c.send(c.next, c.dueAt); err != nil {
			return err
		}
		c.next = (c.next + 1) % len(c.publishers)
		c.dueAt += gap
	}
	return nil
}
