// SPDX-License-Identifier: GPL-3.0-or-later

/// What decoding has to know about a packet beside its bytes.
public struct PacketTraits: Sendable, BitwiseCopyable {
    /// Bytes of the packet at the hook or on the wire, counted from the same first byte as the span. More than the span
    /// has means that the copy range or the snap length cut it; fewer counts as what the span has.
    public var fullLength: UInt32
    /// A segmentation-offload packet: the IP length field may legally be 0 or smaller than what is there, and then what
    /// is there counts.
    public var isSegmentationOffload: Bool
    /// From a capture. Decoding is the same.
    public var isCapture: Bool

    public init(fullLength: UInt32, isSegmentationOffload: Bool = false, isCapture: Bool = false) {
        self.fullLength = fullLength
        self.isSegmentationOffload = isSegmentationOffload
        self.isCapture = isCapture
    }
}

/// Where a packet ends, as offsets into the span: by its own account, and in the bytes at hand.
struct PacketExtent {
    /// End of the packet. What a header needs beyond it is malformed.
    var end: Int
    /// End of the bytes at hand, at most `end`. What a header needs between the two was cut off.
    var present: Int
    /// Segmentation offload or jumbogram: length fields of the transport header may be 0.
    var lengthsMayBeZero = false

    init(end: Int, present: Int, lengthsMayBeZero: Bool = false) {
        self.end = end
        self.present = min(present, end)
        self.lengthsMayBeZero = lengthsMayBeZero
    }

    enum Reach { case present, cut, beyond }

    /// Whether the bytes up to `offset` are at hand, cut off, or not part of the packet.
    @inline(__always)
    func reach(_ offset: Int) -> Reach {
        offset <= present ? .present : offset <= end ? .cut : .beyond
    }
}
