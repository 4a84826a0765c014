// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.5.17;

/// Stand-in for the Registry of the Open Charging Network: same interface, same events, same answers, own code.
///
/// It is as trusting as the real one, because the agent must live with that (permissions-contract.md, section 2):
/// - a signed ("Raw") call signs its arguments only: no nonce, no chain, no contract, no function name (T5, T6);
/// - a broken signature recovers address zero, and address zero may register as a party (T13);
/// - a party that takes a new (country, id) keeps its old one too, and a deleted one frees only the current (T10);
/// - deleting a node leaves its parties with an operator that has no domain (T14).
///
/// Built for tests and the demo. Never deploy it where it matters.
contract Registry {
    enum Role { CPO, EMSP, HUB, NAP, NSP, OTHER, SCSP }
    enum Module { CDRS, CHARGINGPROFILES, COMMANDS, LOCATIONS, SESSIONS, TARIFFS, TOKENS }

    struct Listing {
        bytes2 countryCode;
        bytes3 partyId;
        Role[] roles;
        Module[] modulesSender;
        Module[] modulesReceiver;
    }

    event OperatorUpdate(address indexed operator, string domain);
    event PartyUpdate(
        bytes2 countryCode,
        bytes3 partyId,
        address indexed partyAddress,
        Role[] roles,
        Module[] modulesSender,
        Module[] modulesReceiver,
        address indexed operatorAddress
    );
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    // Part of the interface; nothing emits them.
    event DebugHash(bytes32 hash);
    event DebugPacked(bytes packed);

    address private administrator;
    mapping(address => string) private domainOf;
    mapping(string => bool) private domainTaken;
    mapping(address => bool) private operatorSeen;
    address[] private operators;
    mapping(address => Listing) private listingOf;
    mapping(bytes2 => mapping(bytes3 => address)) private addressOf;
    mapping(address => address) private operatorOf;
    mapping(address => bool) private partySeen;
    address[] private parties;

    modifier onlyOwner() {
        require(isOwner(), "Ownable: caller is not the owner");
        _;
    }

    constructor() public {
        handOver(msg.sender);
    }

    // ------------------------------------------------------------------------------------------ administration

    function owner() public view returns (address) {
        return administrator;
    }

    function isOwner() public view returns (bool) {
        return msg.sender == administrator;
    }

    function renounceOwnership() public onlyOwner {
        handOver(address(0));
    }

    function transferOwnership(address newOwner) public onlyOwner {
        require(newOwner != address(0), "Ownable: new owner is the zero address");
        handOver(newOwner);
    }

    function adminDeleteOperator(address operator) public onlyOwner {
        dropNode(operator);
    }

    function adminDeleteParty(bytes2 countryCode, bytes3 partyId) public onlyOwner {
        dropParty(addressOf[countryCode][partyId]);
    }

    function handOver(address newOwner) private {
        emit OwnershipTransferred(administrator, newOwner);
        administrator = newOwner;
    }

    // --------------------------------------------------------------------------------------------------- nodes

    function setNode(string memory domain) public {
        listNode(msg.sender, domain);
    }

    // The node is listed for whoever signed; `operator` is only part of what was signed.
    function setNodeRaw(address operator, string memory domain, uint8 v, bytes32 r, bytes32 s) public {
        listNode(signerOf(abi.encodePacked(operator, domain), v, r, s), domain);
    }

    function deleteNode() public {
        dropNode(msg.sender);
    }

    // As above: the signer's own node goes.
    function deleteNodeRaw(address operator, uint8 v, bytes32 r, bytes32 s) public {
        dropNode(signerOf(abi.encodePacked(operator), v, r, s));
    }

    function getNode(address operator) public view returns (string memory) {
        return domainOf[operator];
    }

    function getNodeOperators() public view returns (address[] memory) {
        return operators;
    }

    // A domain that an operator leaves for another one stays taken; only deleting the node frees it.
    function listNode(address operator, string memory domain) private {
        require(bytes(domain).length > 0, "Cannot set empty domain name. Use deleteNode method instead.");
        require(!domainTaken[domain], "Domain name already registered.");
        domainTaken[domain] = true;
        domainOf[operator] = domain;
        if (!operatorSeen[operator]) {
            operatorSeen[operator] = true;
            operators.push(operator);
        }
        emit OperatorUpdate(operator, domain);
    }

    // The compiler writes the literal "" as a length of zero and one more word, and leaves in that word whatever lay
    // in memory there: the end of a long domain, for one. So does the real contract.
    function dropNode(address operator) private {
        string memory domain = domainOf[operator];
        require(bytes(domain).length > 0, "Cannot delete node that does not exist.");
        domainTaken[domain] = false;
        delete domainOf[operator];
        emit OperatorUpdate(operator, "");
    }

    // ------------------------------------------------------------------------------------------------- parties

    function setParty(bytes2 countryCode, bytes3 partyId, Role[] memory roles, address operator) public {
        listParty(msg.sender, countryCode, partyId, roles, operator);
    }

    function setPartyRaw(
        address party,
        bytes2 countryCode,
        bytes3 partyId,
        Role[] memory roles,
        address operator,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) public {
        requireSigned(party, abi.encodePacked(party, countryCode, partyId, roles, operator), v, r, s);
        listParty(party, countryCode, partyId, roles, operator);
    }

    function setPartyModules(Module[] memory sender, Module[] memory receiver) public {
        listModules(msg.sender, sender, receiver);
    }

    function setPartyModulesRaw(
        address party,
        Module[] memory sender,
        Module[] memory receiver,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) public {
        requireSigned(party, abi.encodePacked(party, sender, receiver), v, r, s);
        listModules(party, sender, receiver);
    }

    function deleteParty() public {
        dropParty(msg.sender);
    }

    function deletePartyRaw(address party, uint8 v, bytes32 r, bytes32 s) public {
        requireSigned(party, abi.encodePacked(party), v, r, s);
        dropParty(party);
    }

    function getOperatorByAddress(address party) public view returns (address operator, string memory domain) {
        operator = operatorOf[party];
        domain = domainOf[operator];
    }

    function getOperatorByOcpi(bytes2 countryCode, bytes3 partyId)
        public
        view
        returns (address operator, string memory domain)
    {
        return getOperatorByAddress(addressOf[countryCode][partyId]);
    }

    function getPartyDetailsByAddress(address partyAddress)
        public
        view
        returns (
            bytes2 countryCode,
            bytes3 partyId,
            Module[] memory modulesSender,
            Module[] memory modulesReceiver,
            Role[] memory roles,
            address operatorAddress,
            string memory operatorDomain
        )
    {
        Listing storage listing = listingOf[partyAddress];
        countryCode = listing.countryCode;
        partyId = listing.partyId;
        modulesSender = listing.modulesSender;
        modulesReceiver = listing.modulesReceiver;
        roles = listing.roles;
        operatorAddress = operatorOf[partyAddress];
        operatorDomain = domainOf[operatorAddress];
    }

    function getPartyDetailsByOcpi(bytes2 countryCode, bytes3 partyId)
        public
        view
        returns (
            address partyAddress,
            Role[] memory roles,
            Module[] memory modulesSender,
            Module[] memory modulesReceiver,
            address operatorAddress,
            string memory operatorDomain
        )
    {
        partyAddress = addressOf[countryCode][partyId];
        Listing storage listing = listingOf[partyAddress];
        roles = listing.roles;
        modulesSender = listing.modulesSender;
        modulesReceiver = listing.modulesReceiver;
        operatorAddress = operatorOf[partyAddress];
        operatorDomain = domainOf[operatorAddress];
    }

    function getParties() public view returns (address[] memory) {
        return parties;
    }

    // Listing again forgets the modules.
    function listParty(
        address party,
        bytes2 countryCode,
        bytes3 partyId,
        Role[] memory roles,
        address operator
    ) private {
        require(countryCode != 0x0, "Cannot set empty country_code. Use deleteParty method instead.");
        require(partyId != 0x0, "Cannot set empty party_id. Use deleteParty method instead.");
        require(roles.length > 0, "No roles provided.");
        require(operator != address(0), "Cannot set empty operator. Use deleteParty method instead.");
        address holder = addressOf[countryCode][partyId];
        require(
            holder == address(0) || holder == party,
            "Party with country_code/party_id already registered under different address."
        );
        require(bytes(domainOf[operator]).length > 0, "Provided operator not registered.");

        Listing storage listing = listingOf[party];
        listing.countryCode = countryCode;
        listing.partyId = partyId;
        listing.roles = roles;
        delete listing.modulesSender;
        delete listing.modulesReceiver;
        addressOf[countryCode][partyId] = party;
        operatorOf[party] = operator;
        if (!partySeen[party]) {
            partySeen[party] = true;
            parties.push(party);
        }
        announce(party);
    }

    function listModules(address party, Module[] memory sender, Module[] memory receiver) private {
        require(operatorOf[party] != address(0), "Party not registered. Use setParty method first.");
        Listing storage listing = listingOf[party];
        listing.modulesSender = sender;
        listing.modulesReceiver = receiver;
        announce(party);
    }

    function dropParty(address party) private {
        require(
            operatorOf[party] != address(0),
            "Cannot delete party that does not exist. No operator found for given party."
        );
        bytes2 countryCode = listingOf[party].countryCode;
        bytes3 partyId = listingOf[party].partyId;
        delete addressOf[countryCode][partyId];
        delete listingOf[party];
        delete operatorOf[party];
        Role[] memory noRoles;
        Module[] memory noModules;
        emit PartyUpdate(countryCode, partyId, party, noRoles, noModules, noModules, address(0));
    }

    function announce(address party) private {
        Listing storage listing = listingOf[party];
        emit PartyUpdate(
            listing.countryCode,
            listing.partyId,
            party,
            listing.roles,
            listing.modulesSender,
            listing.modulesReceiver,
            operatorOf[party]
        );
    }

    // ---------------------------------------------------------------------------------------------- signatures

    // A signature that recovers nothing gives address zero, and zero may be what is claimed (T13).
    function requireSigned(address claimed, bytes memory packed, uint8 v, bytes32 r, bytes32 s) private pure {
        require(signerOf(packed, v, r, s) == claimed, "Signer and provided party address different.");
    }

    function signerOf(bytes memory packed, uint8 v, bytes32 r, bytes32 s) private pure returns (address) {
        bytes32 digest = keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", keccak256(packed)));
        return ecrecover(digest, v, r, s);
    }
}
