package ring

// MaxMarks is how many topics without a message a log remembers by name.
const MaxMarks = maxMarks

// Marks returns how many topics a log remembers.
func Marks(l *Log) int { return len(l.marks) }

// LotFrames is how many frames a reader takes at a time.
const LotFrames = lotFrames

// Room returns for how many frames the ring of a log has room.
func Room(l *Log) int { return len(l.ring) }
