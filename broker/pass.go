package broker

// line puts a dirty crowd in line for a pass: now, or when it is time again.
func (l *loop) line(cr *crowd) {
	if cr.lined {
		cr.again = true
		return
	}
	cr.lined = true
	if cr.began != 0 && l.clock < cr.began+l.broker.opts.Pace {
		l.paced = append(l.paced, cr)
		return
	}
	l.start(cr)
}

// start begins a pass.
func (l *loop) start(cr *crowd) {
	cr.begin(l.clock)
	l.passes = append(l.passes, cr)
}

// stretch serves the next members of a crowd.
func (l *loop) stretch(cr *crowd) {
	l.loaded = 0
	cr.next = min(cr.next, len(cr.members)-1)
	for n := 0; n < stretchMembers && cr.next >= 0; n++ {
		so := cr.members[cr.next]
		cr.next--
		l.serve(cr, so)
	}
}

// serve is the turn of so in a pass over its crowd.
func (l *loop) serve(cr *crowd, so *socket) {
	s := so.stream
	if !s.lags.Load() && (so.jam == nil || so.jam.rest == nil) { // else it gets there by itself
		if _, ok := l.catchUp(so); !ok {
			l.queue(so)
		}
	}
	switch position := s.position.Load(); {
	case so.crowd == nil: // it is over
	case s.lags.Load():
		cr.lags = min(cr.lags, position)
	default:
		cr.low = min(cr.low, position)
	}
}

// catchUp sends so what comes next in its crowd's channel, and returns how many
// bytes that is. It reports false if the stream has to find out by itself what
// comes next.
func (l *loop) catchUp(so *socket) (sent int, ok bool) {
	s := so.stream
	v := l.volley(so.crowd, key{from: s.position.Load(), format: s.format, coding: so.coding, topics: s.wants.selectors[0].Topics})
	if v == nil || s.ending.Load() != nil {
		return 0, false
	}
	if len(v.bytes) == 0 {
		s.position.Store(v.to)
		return 0, true
	}
	n := l.write(so, v.bytes)
	if so.state != open {
		return n, true
	}
	to, messages := cut{seq: v.last}, v.messages
	if n < len(v.bytes) { // the message that this is in is finished later, and those after it are not taken yet
		to, messages = v.cutAt(n)
		l.fill(so, v.bytes[n:to.end])
		s.position.Store(to.seq)
	} else {
		s.position.Store(v.to)
	}
	s.reported = to.seq
	s.messages += int64(messages)
	l.counted.messages += int64(messages)
	s.delayBeat(l.now)
	return n, true
}

// volley returns what k is sent of the crowd's channel, loaded at most once in a
// stretch; nil if the stream has to find out by itself.
func (l *loop) volley(cr *crowd, k key) *volley {
	c := cr.channel.Load()
	if c == nil {
		return nil
	}
	for i := range l.loaded {
		if l.volleys[i].equal(&k) {
			return &l.volleys[i]
		}
	}
	if l.loaded == len(l.volleys) {
		l.loaded = 0
	}
	v := &l.volleys[l.loaded]
	if !v.load(c, k) {
		return nil
	}
	l.loaded++
	return v
}
