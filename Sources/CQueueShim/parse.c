// SPDX-License-Identifier: GPL-3.0-or-later

// libmnl's attribute iterator costs three calls into a shared library per attribute, a dozen attributes per packet:
// more than all the rest of the shim. Hence this loop of our own.

#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <string.h>

#define HEADERS_BYTES (sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg))

static uint32_t load32(const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return ntohl(value);
}

static uint16_t load16(const uint8_t *bytes) {
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return ntohs(value);
}

static uint64_t load64(const uint8_t *bytes) { return (uint64_t)load32(bytes) << 32 | load32(bytes + 4); }

/// The attribute at `at`, with `left` bytes up to the end of the message; false if none is there. An attribute that
/// claims to be longer than the message is given as far as the message goes: a message cut short keeps its packet's id,
/// which stands at its front, and with it the packet can be settled.
static bool attribute(const uint8_t *at, size_t left, uint16_t *type, size_t *length, size_t *claimed) {
    struct nlattr header;
    if (left < NLA_HDRLEN)
        return false;
    memcpy(&header, at, sizeof header);
    if (header.nla_len < NLA_HDRLEN)
        return false;
    *type = header.nla_type & NLA_TYPE_MASK;
    *claimed = header.nla_len - NLA_HDRLEN;
    *length = header.nla_len <= left ? *claimed : left - NLA_HDRLEN;
    return true;
}

static size_t attribute_step(size_t claimed) { return NLA_ALIGN(NLA_HDRLEN + claimed); }

static void read_vlan(const uint8_t *at, size_t left, struct prq_packet *packet) {
    uint16_t type;
    size_t length, claimed;
    while (attribute(at, left, &type, &length, &claimed)) {
        if (type == NFQA_VLAN_PROTO && length >= 2)
            packet->vlan_protocol = load16(at + NLA_HDRLEN);
        else if (type == NFQA_VLAN_TCI && length >= 2)
            packet->vlan_tci = load16(at + NLA_HDRLEN);
        const size_t step = attribute_step(claimed);
        if (step >= left)
            return;
        at += step;
        left -= step;
    }
}

static void read_hardware_address(const uint8_t *value, size_t length, struct prq_packet *packet) {
    const size_t most = sizeof packet->hardware_address;
    if (length < offsetof(struct nfqnl_msg_packet_hw, hw_addr) + most)
        return;
    const size_t claimed = load16(value);
    packet->hardware_address_length = (uint8_t)(claimed < most ? claimed : most);
    memcpy(packet->hardware_address, value + offsetof(struct nfqnl_msg_packet_hw, hw_addr),
           packet->hardware_address_length);
}

/// What stands between the frame's start and its network header: destination and source address, EtherType, and tags that
/// no device took off. The kernel gives it for frames of a bridge only.
static void read_link_header(const uint8_t *value, size_t length, struct prq_packet *packet) {
    const size_t address = sizeof packet->destination_address;
    if (length < 2 * address + sizeof(uint16_t))
        return;
    memcpy(packet->destination_address, value, address);
    packet->destination_address_length = (uint8_t)address;
    memcpy(packet->hardware_address, value + address, address);
    packet->hardware_address_length = (uint8_t)address;
}

static void read_skb_info(uint32_t flags, struct prq_packet *packet) {
    packet->checksum_not_ready = flags & NFQA_SKB_CSUMNOTREADY;
    packet->checksum_not_verified = flags & NFQA_SKB_CSUM_NOTVERIFIED;
    packet->is_gso = flags & NFQA_SKB_GSO;
}

/// Reads one attribute of at least four bytes; shorter ones carry nothing that is wanted here.
static void read_attribute(uint16_t type, const uint8_t *value, size_t length, struct prq_packet *packet) {
    switch (type) {
    case NFQA_MARK:
        packet->mark = load32(value);
        break;
    case NFQA_TIMESTAMP:
        // Seconds and microseconds. Wrapping arithmetic: hostile numbers must not overflow.
        if (length >= 16)
            packet->timestamp = (int64_t)(load64(value) * 1000000000u + load64(value + 8) * 1000u);
        break;
    case NFQA_IFINDEX_INDEV:
        packet->in_interface = load32(value);
        break;
    case NFQA_IFINDEX_OUTDEV:
        packet->out_interface = load32(value);
        break;
    case NFQA_IFINDEX_PHYSINDEV:
        packet->physical_in_interface = load32(value);
        break;
    case NFQA_IFINDEX_PHYSOUTDEV:
        packet->physical_out_interface = load32(value);
        break;
    case NFQA_HWADDR:
        read_hardware_address(value, length, packet);
        break;
    case NFQA_L2HDR:
        read_link_header(value, length, packet);
        break;
    case NFQA_CAP_LEN:
        packet->full_length = load32(value);
        break;
    case NFQA_SKB_INFO:
        read_skb_info(load32(value), packet);
        break;
    case NFQA_UID:
        packet->uid = load32(value);
        break;
    case NFQA_GID:
        packet->gid = load32(value);
        break;
    case NFQA_VLAN:
        read_vlan(value, length, packet);
        break;
    }
}

static enum prq_message parse_packet(const uint8_t *message, size_t end, struct prq_packet *packet) {
    memset(packet, 0, sizeof *packet);
    packet->uid = packet->gid = UINT32_MAX;
    packet->family = message[sizeof(struct nlmsghdr) + offsetof(struct nfgenmsg, nfgen_family)];

    bool has_id = false;
    size_t payload_claimed = 0;
    uint16_t type;
    size_t length, claimed;
    for (size_t at = HEADERS_BYTES; at < end && attribute(message + at, end - at, &type, &length, &claimed);
         at += attribute_step(claimed)) {
        const uint8_t *value = message + at + NLA_HDRLEN;
        if (type == NFQA_PAYLOAD) {
            packet->payload = value;
            packet->payload_length = (uint32_t)length;
            payload_claimed = claimed;
        } else if (type == NFQA_PACKET_HDR && length >= sizeof(struct nfqnl_msg_packet_hdr)) {
            packet->id = load32(value + offsetof(struct nfqnl_msg_packet_hdr, packet_id));
            packet->ether_type = load16(value + offsetof(struct nfqnl_msg_packet_hdr, hw_protocol));
            packet->hook = value[offsetof(struct nfqnl_msg_packet_hdr, hook)];
            has_id = true;
        } else if (length >= 4) {
            read_attribute(type, value, length, packet);
        }
    }
    // The kernel names the full length only where it copied less.
    if (packet->full_length < payload_claimed)
        packet->full_length = (uint32_t)payload_claimed;
    return has_id ? PRQ_MESSAGE_PACKET : PRQ_MESSAGE_MALFORMED;
}

enum prq_message prq_parse(const uint8_t *message, size_t length, struct prq_packet *packet, int32_t *error) {
    struct nlmsghdr header;
    if (length < sizeof header)
        return PRQ_MESSAGE_MALFORMED;
    memcpy(&header, message, sizeof header);
    const size_t end = header.nlmsg_len < length ? header.nlmsg_len : length;

    if (header.nlmsg_type == NLMSG_ERROR) {
        if (end < sizeof header + sizeof *error)
            return PRQ_MESSAGE_MALFORMED;
        memcpy(error, message + sizeof header, sizeof *error);
        // Negative by protocol; any other number must not pass for an acknowledgement.
        *error = *error > 0 || *error == INT32_MIN ? EPROTO : -*error;
        return PRQ_MESSAGE_REPLY;
    }
    if (header.nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
        return PRQ_MESSAGE_OTHER;
    return end < HEADERS_BYTES ? PRQ_MESSAGE_MALFORMED : parse_packet(message, end, packet);
}

uint32_t prq_sequence(const uint8_t *message, size_t length) {
    struct nlmsghdr header;
    if (length < sizeof header)
        return 0;
    memcpy(&header, message, sizeof header);
    return header.nlmsg_seq;
}
